-- Until PostgreSQL has looked at a table for the first time, up to a minute after it was filled, it takes one namespace for one of 200
-- and reads the whole table where it should look up some hundred numbers. So it looks at rows that are there for this moment only.
DO $$
BEGIN
    LOCK TABLE pii_token, pii_token_index, subject IN SHARE ROW EXCLUSIVE MODE;
    IF NOT EXISTS (SELECT FROM pii_token) AND NOT EXISTS (SELECT FROM subject) THEN
        INSERT INTO pii_token (transformation, id, value) SELECT 0, -n, sha256(int8send(n)) FROM generate_series(1, 1000) n;
        INSERT INTO pii_token_index (transformation, blind, id) SELECT 0, md5(n::text)::uuid, -n FROM generate_series(1, 1000) n;
        INSERT INTO subject (id, mount, hash, wrapped_key, created) OVERRIDING SYSTEM VALUE
            SELECT -n, 0, sha256(int8send(n)), sha256(int8send(n)), now() FROM generate_series(1, 1000) n;
        ANALYZE pii_token, pii_token_index, subject;
        DELETE FROM pii_token WHERE id BETWEEN -1000 AND -1;
        DELETE FROM pii_token_index WHERE id BETWEEN -1000 AND -1;
        DELETE FROM subject WHERE id BETWEEN -1000 AND -1;
    ELSE
        ANALYZE pii_token, pii_token_index, subject;
    END IF;
END
$$;
