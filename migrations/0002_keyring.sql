-- The seal and the keys under it. No key is here in the clear.

CREATE TABLE seal (
    singleton       boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    generation      integer NOT NULL,
    shares          smallint NOT NULL,
    threshold       smallint NOT NULL,
    wrapped_root    bytea NOT NULL,
    wrapped_barrier bytea NOT NULL,
    cluster_id      uuid NOT NULL,
    cluster_name    text NOT NULL
);
COMMENT ON COLUMN seal.wrapped_root IS 'the root key under the unseal key, which only the shares or the key file hold';
COMMENT ON COLUMN seal.wrapped_barrier IS 'the barrier key under the root key; the control, ledger and lookup keys are derived from it';

CREATE TABLE kek (
    namespace   integer NOT NULL DEFAULT 0,
    version     integer NOT NULL,
    wrapped_key bytea,
    created     timestamptz NOT NULL,
    PRIMARY KEY (namespace, version)
);
COMMENT ON TABLE kek IS 'The versions of the keyring; states and the primary stand in a control row of kind keyring';
