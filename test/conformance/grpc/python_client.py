"""A Python gRPC client that knows nothing of the service but its address: it learns the messages by reflection, checks
health, streams a chat, and reads the rich details of an error.

    python test/conformance/grpc/python_client.py 127.0.0.1:50051 tiny-phi3
"""
import sys

import grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from service import Service


def check(condition, what):
    if not condition:
        sys.exit(f"failed: {what}")
    print(f"ok: {what}")


def main(address, model):
    service = Service(address)
    with service.channel as channel:
        health = health_pb2_grpc.HealthStub(channel)
        serving = health_pb2.HealthCheckResponse.SERVING
        check(health.Check(health_pb2.HealthCheckRequest(), timeout=10).status == serving, "the server is SERVING")
        watched = next(iter(health.Watch(health_pb2.HealthCheckRequest(service="modelwire.inference.v1.ChatService"), timeout=10)))
        check(watched.status == serving, "Watch tells that ChatService is SERVING")

        stream = service.method("modelwire.inference.v1.ChatService", "StreamChat")
        chat = service.method("modelwire.inference.v1.ChatService", "Chat")
        body = {"model": model, "messages": [{"role": "user", "content": "What is the capital of Spain?"}]}
        events = list(stream(body, timeout=60))
        text = "".join(event["delta"].get("content", "") for event in events if "delta" in event)
        check("Madrid" in text, f"the streamed answer is {text!r}")
        check([list(event) for event in events].count(["done"]) == 1 and "done" in events[-1], "one done, at the end")
        whole = chat(body, timeout=60)["choices"][0]["message"]["content"]
        check(whole == text, "the unary answer is the streamed one")

        options = {"temperature": 0, "maxTokens": 12, "minP": 0.1, "repetitionPenalty": 1.1, "logitBias": {"5": -100},
                   "stopTokenIds": [7], "minTokens": 2, "logprobs": True, "topLogprobs": 2, "seed": 3}
        controlled = {**body, "options": options, "cacheSalt": "python", "priority": 5}
        answer = chat(controlled, timeout=60)
        choice = answer["choices"][0]
        check(len(choice["logprobs"]) == answer["usage"]["completionTokens"], "a log-probability for every token")
        check(all(len(place["top"]) == 2 for place in choice["logprobs"]), "and the two likeliest of each place")
        # Whole numbers of 64 bits are texts in protobuf's JSON.
        in_force = {name: answer["options"].get(name) for name in options}
        check(in_force == {**options, "seed": "3"}, f"the options are told as they were in force: {in_force}")
        pieces = [event["delta"] for event in stream(controlled, timeout=60) if "delta" in event]
        tokens = [place["tokenId"] for piece in pieces for place in piece.get("logprobs", [])]
        check(tokens == [place["tokenId"] for place in choice["logprobs"]], "streamed, they are the same tokens")

        try:
            list(stream({"model": model, "messages": [], "options": {"n": 99, "minP": 2}}, timeout=10))
            check(False, "a wrong request is refused")
        except grpc.RpcError as error:
            status = rpc_status.from_call(error)
            check(status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0], "a wrong request is INVALID_ARGUMENT")
            info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
            for detail in status.details:
                for message in (info, bad):
                    detail.Unpack(message)
            check((info.domain, info.reason) == ("modelwire", "INVALID_FIELD"), "ErrorInfo has domain and reason")
            check([v.field for v in bad.field_violations] == ["messages", "options.n", "options.min_p"], "BadRequest lists every violation")


if __name__ == "__main__":
    main(*sys.argv[1:])
