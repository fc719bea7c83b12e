// What only a model's files tell about it: flavors, signature, task, size; put into the message that the row made.
import { create } from "@bufbuild/protobuf";
import { ApiError, type Model, ModelSignatureSchema, ModelStatus } from "@modelwire/proto";
import { type Mlmodel, readMlmodel, taskOf } from "../mlmodel/mlmodel-file.ts";
import type { ArtifactStore } from "./artifact-store.ts";
import { MAX_SIGNATURE_BYTES, signatureBytes } from "./model-header.ts";
import { MAX_TEXT_BYTES, MLMODEL } from "./staged.ts";

/** Files of READY models do not change, so what was read is kept; so many models at most. */
const KEPT_MODELS = 2000;
/** What is longer is read again each time: it may unfold into a hundred times as much memory. A chat model has 6,000. */
const KEPT_CHARACTERS = 64 << 10;

interface FromFiles {
  readonly mlmodel: Mlmodel;
  readonly sizeBytes: bigint;
}

export class ModelDescriber {
  readonly #artifacts: ArtifactStore;
  readonly #kept = new Map<string, FromFiles>();

  constructor(artifacts: ArtifactStore) {
    this.#artifacts = artifacts;
  }

  /**
   * Fills `model` in and gives it back. A model whose files cannot be read stays as the row has it: it must still be
   * found, listed and deleted.
   */
  async describe(model: Model): Promise<Model> {
    const found = model.status === ModelStatus.READY ? await this.#fromFiles(model) : undefined;
    if (!found) return model;
    const { mlmodel, sizeBytes } = found;
    model.flavors = Object.keys(mlmodel.flavors).sort();
    model.task = taskOf(mlmodel);
    model.sizeBytes = sizeBytes;
    // One that is longer could not be sent to anybody, nor the list that it is in.
    if (mlmodel.signature && signatureBytes(mlmodel.signature) <= MAX_SIGNATURE_BYTES) {
      const { inputs, outputs, params } = mlmodel.signature;
      model.signature = create(ModelSignatureSchema, {
        inputs: inputs ?? undefined,
        outputs: outputs ?? undefined,
        params: params ?? undefined,
      });
    }
    return model;
  }

  /** The model's MLmodel file; undefined when it has none. @throws ApiError as the artifact store, MODEL_INVALID. */
  async mlmodel(model: Model): Promise<Mlmodel | undefined> {
    return (await this.#read(model))?.mlmodel;
  }

  async #fromFiles(model: Model): Promise<FromFiles | undefined> {
    try {
      return await this.#read(model);
    } catch (error) {
      if (error instanceof ApiError) return undefined;
      throw error;
    }
  }

  async #read({ modelId, artifactLocation }: Model): Promise<FromFiles | undefined> {
    const kept = this.#kept.get(modelId);
    if (kept) return kept;
    const text = await this.#artifacts.readText(artifactLocation, MLMODEL, MAX_TEXT_BYTES);
    if (text === undefined) return undefined;
    const files = await this.#artifacts.list(artifactLocation);
    const found = { mlmodel: readMlmodel(text), sizeBytes: files.reduce((sum, file) => sum + file.sizeBytes, 0n) };
    if (text.length > KEPT_CHARACTERS) return found;
    if (this.#kept.size >= KEPT_MODELS) this.#kept.delete(this.#kept.keys().next().value as string);
    this.#kept.set(modelId, found);
    return found;
  }
}
