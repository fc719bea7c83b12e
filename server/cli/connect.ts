// The flags that say which server, and the client for them. It must never make a call.
import { readFile } from "node:fs/promises";
import type { ModelwireClient } from "@modelwire/client";
import { ApiError, createClient } from "@modelwire/client";
import type { Io } from "./command.ts";
import { UsageError } from "./command.ts";
import { version } from "./package-info.ts";

export const CONNECT_FLAGS = {
  address: { type: "string" },
  tls: { type: "boolean" },
  "tls-ca": { type: "string" },
  "tls-cert": { type: "string" },
  "tls-key": { type: "string" },
  insecure: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

export const CONNECT_HELP = `Server:
  --address <host:port>   the server [127.0.0.1:50051] (MODELWIRE_ADDRESS)
  --tls                   use TLS, with the authorities that Node.js trusts
  --tls-ca <pem>          use TLS, with this authority
  --tls-cert <pem>        client certificate, for servers that ask for one; with --tls-key
  --tls-key <pem>         private key of --tls-cert
  --insecure              plain text to another machine`;

interface ConnectValues {
  address?: string;
  tls?: boolean;
  "tls-ca"?: string;
  "tls-cert"?: string;
  "tls-key"?: string;
  insecure?: boolean;
}

/** @throws UsageError when the flags contradict each other or name files that cannot be read. */
export async function connect(values: ConnectValues, io: Io): Promise<ModelwireClient> {
  const address = values.address ?? (io.env.MODELWIRE_ADDRESS || "127.0.0.1:50051");
  const [ca, cert, key] = await Promise.all(
    (["tls-ca", "tls-cert", "tls-key"] as const).map(async (flag) => {
      const file = values[flag];
      if (file === undefined) return undefined;
      return await readFile(file).catch((error: Error) => {
        throw new UsageError(`--${flag} cannot be read: ${error.message}`);
      });
    }),
  );
  const tls = values.tls || ca || cert || key ? { ca, cert, key } : undefined;
  if (tls && values.insecure) throw new UsageError("--insecure and TLS exclude each other");
  try {
    return createClient(address, { tls, insecure: values.insecure, userAgent: `modelwire-cli/${version}` });
  } catch (error) {
    if (error instanceof ApiError) throw asFlags(error, address);
    throw error;
  }
}

/** What the client says about its options, in the words of the flags. */
function asFlags(error: ApiError, address: string): UsageError {
  const { field, description } = error.violations[0] ?? { field: "", description: error.message };
  if (field === "tls") return new UsageError("--tls-cert and --tls-key belong together");
  if (field !== "insecure") return new UsageError(`--address ${description}`);
  const hint = "pass --tls or --tls-ca <pem>, or --insecure if the network can be trusted";
  return new UsageError(`${address} is not this machine, and plain text could be read on the way`, hint);
}
