// Serves metrics over plain HTTP: /metrics for Prometheus, /healthz for who only asks whether calls are taken. It must never
// know what is measured.
import { createServer, type Server, type ServerResponse } from "node:http";
import { isIPv6 } from "node:net";

export interface MetricsEndpoint {
  /** host:port that it listens on. */
  readonly address: string;
  close(): Promise<void>;
}

export interface Scraped {
  readonly contentType: string;
  text(): Promise<string>;
}

/**
 * @param healthy whether calls are taken now
 * @param onError told of a scrape that failed
 * @throws Error when the address is taken
 */
export async function serveMetrics(
  { host, port }: { readonly host: string; readonly port: number },
  metrics: Scraped,
  healthy: () => boolean,
  onError: (error: unknown) => void,
): Promise<MetricsEndpoint> {
  const answer = async (method: string, path: string, response: ServerResponse): Promise<void> => {
    const plain = (status: number, text: string) =>
      void response.writeHead(status, { "content-type": "text/plain; charset=utf-8" }).end(text);
    if (path !== "/metrics" && path !== "/healthz") return plain(404, "only /metrics and /healthz are here\n");
    if (method !== "GET" && method !== "HEAD") {
      response.setHeader("allow", "GET, HEAD");
      return plain(405, "only GET and HEAD\n");
    }
    if (path === "/healthz") return healthy() ? plain(200, "ok\n") : plain(503, "takes no calls\n");
    const text = await metrics.text();
    response.writeHead(200, { "content-type": metrics.contentType }).end(text);
  };
  const server = createServer((request, response) => {
    const path = (request.url ?? "/").replace(/\?.*$/s, "");
    answer(request.method ?? "", path, response).catch((error) => {
      onError(error);
      if (!response.headersSent) response.writeHead(500);
      response.end();
    });
  });
  await listening(server, host, port);
  const address = server.address();
  const bound = typeof address === "object" && address ? address.port : port;
  return {
    address: `${isIPv6(host) ? `[${host}]` : host}:${bound}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        // A scraper keeps its connection open.
        server.closeAllConnections();
      }),
  };
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
