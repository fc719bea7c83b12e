// What failures of the inference side become on the wire.
import { status } from "@grpc/grpc-js";
import { ApiError } from "@modelwire/proto";
import { expect, test } from "vitest";
import { InferenceError } from "../../server/inference/errors.ts";
import { fromInference } from "../../server/services/inference-errors.ts";

test("what is full says when to try again, as the engine reckons", () => {
  const full = new InferenceError("QUEUE_FULL", "full", { metadata: { queue_limit: "9", retry_after_ms: "2300" } });
  expect(fromInference(full)).toMatchObject({
    code: status.RESOURCE_EXHAUSTED,
    reason: "QUEUE_FULL",
    retryAfterMs: 2300,
  });
  const late = new InferenceError("DEADLINE_UNREACHABLE", "late", { metadata: { retry_after_ms: "40" } });
  expect(fromInference(late)).toMatchObject({ code: status.RESOURCE_EXHAUSTED, retryAfterMs: 40 });
  expect((fromInference(new InferenceError("CACHE_TOO_SMALL", "small")) as ApiError).retryAfterMs).toBeUndefined();
});

test("a deadline that passed is DEADLINE_EXCEEDED, as everywhere", () => {
  expect(fromInference(new InferenceError("DEADLINE_EXPIRED", "late"))).toMatchObject({ code: 4, reason: "" });
});

test("options that only the model can judge are named as the request names them", () => {
  const violations = [{ field: "logit_bias[99]", description: "is no token" }];
  expect(fromInference(new InferenceError("INVALID_OPTION", "no", { violations }), "options.")).toMatchObject({
    violations: [{ field: "options.logit_bias[99]" }],
  });
  const format = [{ field: "response_format.regex", description: "cannot be read" }];
  expect(fromInference(new InferenceError("INVALID_FORMAT", "no", { violations: format }), "options.")).toMatchObject({
    reason: "INVALID_FIELD",
    violations: [{ field: "response_format.regex" }],
  });
});

test("anything else comes back as it is", () => {
  const error = new TypeError("x");
  expect(fromInference(error)).toBe(error);
  expect(fromInference(new InferenceError("INTERNAL", "x"))).toBeInstanceOf(ApiError);
});
