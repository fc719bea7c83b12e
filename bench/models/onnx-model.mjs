// The parts of an ONNX model as bytes, by the field numbers of onnx.proto. Knows no model.
import { bytes, float, integer, message } from "./protobuf.mjs";

export const types = { float: 1, uint8: 2, int32: 6, int64: 7 };
const attributeTypes = { float: 1, int: 2, tensor: 4 };

/** `[name]`: a node of the standard operators; `domain` is "" for them. Attributes are of `float`, `int` and `tensor`. */
export function node(operator, inputs, outputs, attributes = [], { name = "", domain = "" } = {}) {
  return message(
    inputs.map((input) => bytes(1, input)),
    outputs.map((output) => bytes(2, output)),
    bytes(3, name),
    bytes(4, operator),
    attributes.map((attribute) => bytes(5, attribute)),
    bytes(7, domain),
  );
}

export const attribute = {
  float: (name, value) => message(bytes(1, name), float(2, value), integer(20, attributeTypes.float)),
  int: (name, value) => message(bytes(1, name), integer(3, value), integer(20, attributeTypes.int)),
  tensor: (name, value) => message(bytes(1, name), bytes(5, value), integer(20, attributeTypes.tensor)),
};

/** A tensor whose bytes are in the model itself. */
export function tensor(name, type, dims, content) {
  return message(
    dims.map((dim) => integer(1, dim)),
    integer(2, type),
    bytes(8, name),
    bytes(9, content),
  );
}

/** A tensor whose bytes are in a file beside the model. */
export function externalTensor(name, type, dims, location, offset, length) {
  const entry = (key, value) => bytes(13, message(bytes(1, key), bytes(2, String(value))));
  return message(
    dims.map((dim) => integer(1, dim)),
    integer(2, type),
    bytes(8, name),
    entry("location", location),
    entry("offset", offset),
    entry("length", length),
    integer(14, 1),
  );
}

/** An input or output; a dim is a number or the name of one that varies. */
export function value(name, type, dims) {
  const shape = dims.map((dim) => bytes(1, typeof dim === "number" ? integer(1, dim) : bytes(2, dim)));
  return message(bytes(1, name), bytes(2, bytes(1, message(integer(1, type), bytes(2, message(shape))))));
}

/** The model: parts as made above, operator sets as {domain: version}. */
export function model({ nodes, inputs, outputs, initializers = [], operatorSets }) {
  const graph = message(
    nodes.map((part) => bytes(1, part)),
    bytes(2, "main_graph"),
    initializers.map((part) => bytes(5, part)),
    inputs.map((part) => bytes(11, part)),
    outputs.map((part) => bytes(12, part)),
  );
  return message(
    integer(1, 10),
    bytes(2, "modelwire-bench"),
    bytes(7, graph),
    Object.entries(operatorSets).map(([domain, version]) => bytes(8, message(bytes(1, domain), integer(2, version)))),
  );
}
