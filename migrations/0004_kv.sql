-- Secrets with versions. A secret's row holds what is known of its versions, encrypted; a version's row holds its value.

CREATE TABLE kv_secret (
    namespace   integer NOT NULL DEFAULT 0,
    mount       integer NOT NULL,
    path        text    COLLATE "C" NOT NULL,
    current     bigint  NOT NULL,
    revision    bigint  NOT NULL,
    wrapped_key bytea   NOT NULL,
    body        bytea   NOT NULL,
    PRIMARY KEY (namespace, mount, path)
);

CREATE TABLE kv_version (
    namespace   integer NOT NULL DEFAULT 0,
    mount       integer NOT NULL,
    path        text    COLLATE "C" NOT NULL,
    version     bigint  NOT NULL,
    wrapped_key bytea   NOT NULL,
    value       bytea   NOT NULL,
    PRIMARY KEY (namespace, mount, path, version)
);
