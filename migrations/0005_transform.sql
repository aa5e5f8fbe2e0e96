-- Personal data under tokens. A token's row cannot be decrypted without the token itself: half of its key is nowhere else.

CREATE TABLE transform_key (
    namespace      integer NOT NULL DEFAULT 0,
    mount          integer NOT NULL,
    transformation text    COLLATE "C" NOT NULL,
    version        integer NOT NULL,
    wrapped_key    bytea   NOT NULL,
    issued         bigint  NOT NULL DEFAULT 0 CHECK (issued >= 0),
    created        timestamptz NOT NULL,
    PRIMARY KEY (namespace, mount, transformation, version)
);
COMMENT ON COLUMN transform_key.version IS '0 holds the key that token ids and checksums are made with; it never changes';

COMMENT ON COLUMN transform_key.issued IS 'of version 0: the serial numbers of shaped tokens that nodes took';

CREATE SEQUENCE transformation_number AS integer;

CREATE TABLE subject (
    namespace   integer NOT NULL DEFAULT 0,
    id          bigint  GENERATED ALWAYS AS IDENTITY,
    mount       integer NOT NULL,
    hash        bytea   NOT NULL,
    wrapped_key bytea,
    created     timestamptz NOT NULL,
    erased      timestamptz,
    PRIMARY KEY (namespace, id),
    CHECK ((wrapped_key IS NULL) = (erased IS NOT NULL))
);
CREATE UNIQUE INDEX subject_hash ON subject (namespace, mount, hash) WHERE wrapped_key IS NOT NULL;
CREATE INDEX subject_erased ON subject (namespace, mount, hash) WHERE wrapped_key IS NULL;
COMMENT ON TABLE subject IS 'The people the data is about, by a keyed hash; erasing one destroys the wrapped key of everything stored about them';

CREATE TABLE allowance (
    namespace      integer NOT NULL DEFAULT 0,
    transformation integer NOT NULL,
    quota          text    COLLATE "C" NOT NULL DEFAULT '',
    account        text    COLLATE "C" NOT NULL,
    kind           text    COLLATE "C" NOT NULL,
    hour           bigint  NOT NULL,
    taken          bigint  NOT NULL,
    given          bigint  NOT NULL,
    PRIMARY KEY (namespace, transformation, quota, account, kind)
);
COMMENT ON TABLE allowance IS 'How many values an account encoded or revealed in the hour (counted since 1970): what nodes took of the limit, spent or not';
COMMENT ON COLUMN allowance.quota IS 'the name of a quota, which counts over the transformations that it names (transformation 0); empty: the limit of the transformation itself';
COMMENT ON COLUMN allowance.given IS 'what the node that came last was given';

CREATE SEQUENCE pii_token_block AS bigint;

CREATE TABLE pii_token (
    namespace      integer NOT NULL DEFAULT 0,
    transformation integer NOT NULL,
    id             bigint  NOT NULL,
    subject        bigint,
    expires        timestamptz,
    value          bytea   NOT NULL,
    metadata       bytea,
    secret         bytea,
    PRIMARY KEY (namespace, id)
);
COMMENT ON COLUMN pii_token.secret IS 'the half of the key that is in the token, encrypted; only for exportable transformations';
CREATE INDEX pii_token_subject ON pii_token (namespace, subject) WHERE subject IS NOT NULL;
CREATE INDEX pii_token_expires ON pii_token (expires) WHERE expires IS NOT NULL;

-- Where a value of a convergent transformation has its token. A table of its own, so that other tokens pay nothing for it. Its uniqueness
-- is what makes concurrent encodes of one value, on whatever nodes, give one token. A row whose token is gone or has ended is vacant.
CREATE TABLE pii_token_index (
    namespace      integer NOT NULL DEFAULT 0,
    transformation integer NOT NULL,
    blind          uuid    NOT NULL,
    id             bigint  NOT NULL,
    PRIMARY KEY (namespace, transformation, blind)
);
COMMENT ON COLUMN pii_token_index.blind IS 'the first 128 bits of a keyed hash of the value: equal values of one transformation, and of one subject, are equal here';
CREATE INDEX pii_token_index_id ON pii_token_index (namespace, id);

-- Transformations that were deleted, alone or with their mount, and whose tokens are still to be removed; for the job.
CREATE TABLE transform_removed (
    namespace      integer NOT NULL DEFAULT 0,
    transformation integer NOT NULL,
    removed        timestamptz NOT NULL,
    scanned        bigint  NOT NULL DEFAULT -9223372036854775808,
    PRIMARY KEY (namespace, transformation)
);
COMMENT ON COLUMN transform_removed.scanned IS 'tokens up to this number have been looked at';

-- New tokens and the entries of the requests that made them, in one statement. A subject that is erased, or is being erased, refuses
-- the whole statement: the writer then tries the requests one by one.
CREATE FUNCTION pii_token_append(
    p_transformation integer[], p_id bigint[], p_subject bigint[], p_expires timestamptz[], p_value bytea[], p_metadata bytea[], p_secret bytea[],
    p_subjects bigint[]
) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS
$$
DECLARE
    v_alive integer;
BEGIN
    IF cardinality(p_subjects) > 0 THEN
        -- SKIP LOCKED: the transaction that erases waits for the writer, so the writer must not wait for it. KEY SHARE: a subject whose
        -- key is being re-wrapped is alive; the erasure locks FOR UPDATE.
        SELECT count(*) INTO v_alive FROM (
            SELECT FROM public.subject s
            WHERE s.namespace = 0 AND s.id = ANY (p_subjects) AND s.wrapped_key IS NOT NULL FOR KEY SHARE SKIP LOCKED
        ) alive;
        IF v_alive < cardinality(p_subjects) THEN
            RAISE EXCEPTION 'a subject is erased or being erased' USING ERRCODE = 'GF001';
        END IF;
    END IF;
    INSERT INTO public.pii_token (transformation, id, subject, expires, value, metadata, secret)
        SELECT * FROM unnest(p_transformation, p_id, p_subject, p_expires, p_value, p_metadata, p_secret);
    RETURN cardinality(p_id);
END
$$;
