-- Who and where: control rows, auth tokens, replays.
-- Every row that decides something carries a MAC over its content and version, made by goldfin under a key that is not in the database.

CREATE TABLE control (
    namespace integer NOT NULL DEFAULT 0,
    kind      text    NOT NULL,
    mount     integer NOT NULL DEFAULT 0,
    name      text    COLLATE "C" NOT NULL,
    version   bigint  NOT NULL CHECK (version > 0),
    body      text    NOT NULL,
    mac       bytea   NOT NULL,
    PRIMARY KEY (namespace, kind, mount, name)
);
COMMENT ON TABLE control IS 'Mounts, accounts, aliases, roles, transformations, policies: one JSON document each';

CREATE SEQUENCE mount_number AS integer START 10;

CREATE TABLE auth_token (
    namespace   integer NOT NULL DEFAULT 0,
    fingerprint bytea   NOT NULL,
    accessor    text    COLLATE "C" NOT NULL,
    account     text    COLLATE "C" NOT NULL,
    parent      text    COLLATE "C",
    mount       integer NOT NULL,
    expires     timestamptz,
    version     bigint  NOT NULL,
    body        text    NOT NULL,
    mac         bytea   NOT NULL,
    PRIMARY KEY (namespace, fingerprint),
    UNIQUE (namespace, accessor)
);
COMMENT ON TABLE auth_token IS 'What callers show: stored under a keyed hash of the token, never the token';
CREATE INDEX auth_token_parent ON auth_token (namespace, parent) WHERE parent IS NOT NULL;
CREATE INDEX auth_token_account ON auth_token (namespace, account);
CREATE INDEX auth_token_expires ON auth_token (expires) WHERE expires IS NOT NULL;

CREATE TABLE replay (
    digest bytea       PRIMARY KEY,
    until  timestamptz NOT NULL
);
COMMENT ON TABLE replay IS 'Kerberos authenticators that were used, until they are too old to be accepted: shared by all nodes';
CREATE INDEX replay_until ON replay (until);
