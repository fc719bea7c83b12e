// The signature of llm/v1/chat, which is MLflow's to the byte (test/mlmodel/mlmodel.test.ts).
import { chatSignature } from "../../server/mlmodel/signature/task-signatures.ts";
import { signatureOf } from "./signature-of.ts";

const { inputs, outputs } = chatSignature();

export const CHAT = signatureOf({ inputs: JSON.parse(inputs ?? ""), outputs: JSON.parse(outputs ?? "") });
