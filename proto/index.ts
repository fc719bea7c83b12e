// The public surface of @modelwire/proto.
export * from "./errors.ts";
export { Health } from "./gen/grpc/health/v1/health_pb.ts";
export * from "./gen/modelwire/errors/v1/error_reason_pb.ts";
export * from "./gen/modelwire/inference/v1/chat_pb.ts";
export * from "./gen/modelwire/inference/v1/chat_service_pb.ts";
export * from "./gen/modelwire/inference/v1/prediction_service_pb.ts";
export * from "./gen/modelwire/inference/v1/serving_service_pb.ts";
export * from "./gen/modelwire/inference/v1/tokenizer_service_pb.ts";
export * from "./gen/modelwire/models/v1/model_pb.ts";
export * from "./gen/modelwire/models/v1/model_service_pb.ts";
export * from "./gen/modelwire/signatures/v1/data_pb.ts";
export * from "./gen/modelwire/signatures/v1/signature_pb.ts";
export * from "./gen/modelwire/signatures/v1/signature_service_pb.ts";
export * from "./grpc.ts";
