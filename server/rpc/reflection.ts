// gRPC server reflection (v1 and v1alpha), by the grpc project's own package, from the services' descriptors.
import { type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { ReflectionService } from "@grpc/reflection";
import { Health } from "@modelwire/proto";

export function reflection(services: readonly DescService[]): ReflectionService {
  const files = new Map<string, Uint8Array>();
  const add = (file: DescFile) => {
    if (files.has(file.proto.name)) return;
    files.set(file.proto.name, toBinary(FileDescriptorProtoSchema, file.proto));
    for (const dependency of file.dependencies) add(dependency);
  };
  // proto-loader's own descriptor of Health is broken (the value type of its map has no package), hence ours.
  for (const { file } of [...services, Health]) add(file);
  const fileDescriptorProtos = [...files.values()].map((bytes) => Buffer.from(bytes));
  // The package only looks for this property on the values of what proto-loader would give.
  return new ReflectionService({ modelwire: { fileDescriptorProtos } } as never);
}
