// Registered models, their versions, aliases and tags, and the webhooks that watch them.
// Facts of MLflow's database at the revision of ../revision.ts; nothing here may be changed for our own convenience.
import type { TableSpec } from "./table-spec.ts";

export const REGISTRY_TABLES: Readonly<Record<string, TableSpec>> = {
  registered_models: {
    columns: {
      name: "VARCHAR(256)!",
      creation_time: "BIGINT",
      last_updated_time: "BIGINT",
      description: "VARCHAR(5000)",
      workspace: "VARCHAR(63)! = 'default'",
    },
    primaryKey: ["registered_model_pk", "workspace, name"],
    indexes: {
      idx_registered_models_workspace: "workspace",
    },
  },
  registered_model_tags: {
    columns: {
      key: "VARCHAR(250)!",
      value: "VARCHAR(5000)",
      name: "VARCHAR(256)!",
      workspace: "VARCHAR(63)! = 'default'",
    },
    primaryKey: ["registered_model_tag_pk", "workspace, key, name"],
    foreignKeys: [
      [
        "fk_registered_model_tags_registered_models",
        "workspace, name",
        "registered_models",
        "workspace, name",
        "update cascade",
      ],
    ],
    indexes: {
      idx_registered_model_tags_workspace_name: "workspace, name",
    },
  },
  registered_model_aliases: {
    columns: {
      alias: "VARCHAR(256)!",
      version: "INTEGER!",
      name: "VARCHAR(256)!",
      workspace: "VARCHAR(63)! = 'default'",
    },
    primaryKey: ["registered_model_alias_pk", "workspace, name, alias"],
    foreignKeys: [
      [
        "fk_registered_model_aliases_registered_models",
        "workspace, name",
        "registered_models",
        "workspace, name",
        "delete cascade update cascade",
      ],
    ],
  },
  model_versions: {
    columns: {
      name: "VARCHAR(256)!",
      version: "INTEGER!",
      creation_time: "BIGINT",
      last_updated_time: "BIGINT",
      description: "VARCHAR(5000)",
      user_id: "VARCHAR(256)",
      current_stage: "VARCHAR(20)",
      source: "VARCHAR(500)",
      run_id: "VARCHAR(32)",
      status: "VARCHAR(20)",
      status_message: "VARCHAR(500)",
      run_link: "VARCHAR(500)",
      storage_location: "VARCHAR(500)",
      workspace: "VARCHAR(63)! = 'default'",
    },
    primaryKey: ["model_version_pk", "workspace, name, version"],
    foreignKeys: [
      [
        "fk_model_versions_registered_models",
        "workspace, name",
        "registered_models",
        "workspace, name",
        "update cascade",
      ],
    ],
  },
  model_version_tags: {
    columns: {
      key: "VARCHAR(250)!",
      value: "TEXT",
      name: "VARCHAR(256)!",
      version: "INTEGER!",
      workspace: "VARCHAR(63)! = 'default'",
    },
    primaryKey: ["model_version_tag_pk", "workspace, key, name, version"],
    foreignKeys: [
      [
        "fk_model_version_tags_model_versions",
        "workspace, name, version",
        "model_versions",
        "workspace, name, version",
        "update cascade",
      ],
    ],
    indexes: {
      idx_model_version_tags_workspace_name_version: "workspace, name, version",
    },
  },
  webhooks: {
    columns: {
      webhook_id: "VARCHAR(256)!",
      name: "VARCHAR(256)!",
      description: "VARCHAR(1000)",
      url: "VARCHAR(500)!",
      status: "VARCHAR(20)! = 'ACTIVE'",
      secret: "VARCHAR(1000)",
      creation_timestamp: "BIGINT",
      last_updated_timestamp: "BIGINT",
      deleted_timestamp: "BIGINT",
      workspace: "VARCHAR(63)! = 'default'",
    },
    primaryKey: ["webhook_pk", "webhook_id"],
    indexes: {
      idx_webhooks_name: "name",
      idx_webhooks_status: "status",
      idx_webhooks_workspace: "workspace",
    },
  },
  webhook_events: {
    columns: {
      webhook_id: "VARCHAR(256)!",
      entity: "VARCHAR(50)!",
      action: "VARCHAR(50)!",
    },
    primaryKey: ["webhook_event_pk", "webhook_id, entity, action"],
    foreignKeys: [["", "webhook_id", "webhooks", "webhook_id", "delete cascade"]],
    indexes: {
      idx_webhook_events_action: "action",
      idx_webhook_events_entity: "entity",
      idx_webhook_events_entity_action: "entity, action",
    },
  },
};
