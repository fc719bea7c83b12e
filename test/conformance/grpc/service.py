"""The service as Python sees it: every method by its descriptor, which reflection gives, with dicts in and out; and a
folder sent up as the TypeScript client sends it.
"""
import hashlib
from pathlib import Path

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

CHUNK = 256 << 10


class Service:
    def __init__(self, address):
        self.channel = grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)])
        self.pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(self.channel))

    def method(self, service, method):
        """A function for one method: dict (or dicts, where it takes a stream) → dict, or an iterable of them."""
        described = self.pool.FindServiceByName(service).FindMethodByName(method)
        request, response = (message_factory.GetMessageClass(m) for m in (described.input_type, described.output_type))
        kinds = {
            (False, False): self.channel.unary_unary,
            (False, True): self.channel.unary_stream,
            (True, False): self.channel.stream_unary,
        }
        stub = kinds[described.client_streaming, described.server_streaming](
            f"/{service}/{method}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )
        parse = lambda body: body if isinstance(body, request) else json_format.ParseDict(body, request())

        def call(body, **options):
            given = (parse(one) for one in body) if described.client_streaming else parse(body)
            answer = stub(given, **options)
            if described.server_streaming:
                return (json_format.MessageToDict(message) for message in answer)
            return json_format.MessageToDict(answer)

        call.request = request
        return call

    def log(self, folder, **header):
        """Logs a folder. @returns the model, as a dict."""
        log = self.method("modelwire.models.v1.ModelService", "LogModel")
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())

        def messages():
            yield {"header": header}
            for path in files:
                yield {"fileStart": {"path": path.relative_to(folder).as_posix()}}
                data = path.read_bytes()
                for start in range(0, len(data), CHUNK):
                    piece = log.request()
                    piece.file_chunk.data = data[start : start + CHUNK]
                    yield piece
                yield {"fileEnd": {"sha256": hashlib.sha256(data).hexdigest()}}
            yield {"end": {"fileCount": len(files)}}

        return log(messages(), timeout=300)

    def predict(self, model, body, **more):
        """Predict with a JSON body. @returns the answer's body as text, and the whole response."""
        call = self.method("modelwire.inference.v1.PredictionService", "Predict")
        response = call({"model": model, "input": {"json": body}, **more}, timeout=120)
        return response["output"]["json"], response
