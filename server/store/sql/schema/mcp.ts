// The registry of MCP servers.
// Facts of MLflow's database at the revision of ../revision.ts; nothing here may be changed for our own convenience.
import type { TableSpec } from "./table-spec.ts";

export const MCP_TABLES: Readonly<Record<string, TableSpec>> = {
  mcp_servers: {
    columns: {
      workspace: "VARCHAR(63)! = 'default'",
      name: "VARCHAR(256)!",
      display_name: "VARCHAR(256)",
      description: "TEXT",
      icons: "JSON",
      created_by: "VARCHAR(256)",
      last_updated_by: "VARCHAR(256)",
      created_at: "BIGINT!",
      last_updated_at: "BIGINT!",
    },
    primaryKey: ["mcp_servers_pk", "workspace, name"],
  },
  mcp_server_versions: {
    columns: {
      workspace: "VARCHAR(63)! = 'default'",
      name: "VARCHAR(256)!",
      version: "VARCHAR(128)!",
      version_major: "INTEGER!",
      version_minor: "INTEGER!",
      version_patch: "INTEGER!",
      version_prerelease_sort_key: "VARCHAR(512)!",
      server_json: "JSON!",
      status: "VARCHAR(20)! = 'draft'",
      tools: "JSON",
      source: "VARCHAR(512)",
      connect_options: "JSON",
      created_by: "VARCHAR(256)",
      last_updated_by: "VARCHAR(256)",
      created_at: "BIGINT!",
      last_updated_at: "BIGINT!",
    },
    primaryKey: ["mcp_server_versions_pk", "workspace, name, version"],
    foreignKeys: [
      [
        "mcp_server_versions_server_fkey",
        "workspace, name",
        "mcp_servers",
        "workspace, name",
        "delete cascade update cascade",
      ],
    ],
    indexes: {
      idx_mcp_server_versions_latest:
        "workspace, name, status, version_major DESC, version_minor DESC, version_patch DESC",
    },
  },
  mcp_server_tags: {
    columns: {
      workspace: "VARCHAR(63)! = 'default'",
      name: "VARCHAR(256)!",
      key: "VARCHAR(250)!",
      value: "VARCHAR(5000)",
    },
    primaryKey: ["mcp_server_tags_pk", "workspace, name, key"],
    foreignKeys: [
      [
        "mcp_server_tags_server_fkey",
        "workspace, name",
        "mcp_servers",
        "workspace, name",
        "delete cascade update cascade",
      ],
    ],
  },
  mcp_server_version_tags: {
    columns: {
      workspace: "VARCHAR(63)! = 'default'",
      name: "VARCHAR(256)!",
      version: "VARCHAR(128)!",
      key: "VARCHAR(250)!",
      value: "VARCHAR(5000)",
    },
    primaryKey: ["mcp_server_version_tags_pk", "workspace, name, version, key"],
    foreignKeys: [
      [
        "mcp_server_version_tags_version_fkey",
        "workspace, name, version",
        "mcp_server_versions",
        "workspace, name, version",
        "delete cascade update cascade",
      ],
    ],
  },
  mcp_server_aliases: {
    columns: {
      workspace: "VARCHAR(63)! = 'default'",
      name: "VARCHAR(256)!",
      alias: "VARCHAR(256)!",
      version: "VARCHAR(128)!",
    },
    primaryKey: ["mcp_server_aliases_pk", "workspace, name, alias"],
    foreignKeys: [
      [
        "mcp_server_aliases_server_fkey",
        "workspace, name",
        "mcp_servers",
        "workspace, name",
        "delete cascade update cascade",
      ],
    ],
  },
  mcp_access_endpoints: {
    columns: {
      id: "VARCHAR(36)!",
      workspace: "VARCHAR(63)! = 'default'",
      server_name: "VARCHAR(256)!",
      server_version: "VARCHAR(128)",
      server_alias: "VARCHAR(256)",
      url: "VARCHAR(2048)!",
      transport_type: "VARCHAR(32)! = 'streamable-http'",
      created_by: "VARCHAR(256)",
      last_updated_by: "VARCHAR(256)",
      created_at: "BIGINT!",
      last_updated_at: "BIGINT!",
    },
    primaryKey: ["mcp_access_endpoints_pk", "id"],
    foreignKeys: [
      [
        "mcp_access_endpoints_server_fkey",
        "workspace, server_name",
        "mcp_servers",
        "workspace, name",
        "delete cascade update cascade",
      ],
    ],
    indexes: {
      ix_mcp_access_endpoints_alias: "workspace, server_name, server_alias",
      ix_mcp_access_endpoints_server_name: "workspace, server_name",
      ix_mcp_access_endpoints_version: "workspace, server_name, server_version",
    },
  },
};
