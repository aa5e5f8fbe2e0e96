"""What a team would otherwise write: the other side of the targets R10 and R11.

FastAPI, SQLAlchemy 2 (asyncio, asyncpg) and cryptography, written the way their documentation shows. It answers the paths and members
that the load client asks goldfin for, so that both are asked by the same client and both are checked. Each request encrypts or decrypts,
and writes its row of audit in the same transaction. What it has not: policies, a chain over the audit rows, keys per value, a token that
a stolen database cannot turn back. It talks to loopback and to the database that the benchmark made for it; nobody should run it for
anything else.

Run as a program it makes its tables.
"""

import asyncio
import datetime
import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel
from sqlalchemy import BigInteger, DateTime, LargeBinary, String, func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_async_engine(os.environ["NAIVE_DATABASE"], pool_size=8, max_overflow=8)
sessions = async_sessionmaker(engine, expire_on_commit=False)
cipher = AESGCM(bytes.fromhex(os.environ["NAIVE_KEY"]))
caller = hashlib.sha256(os.environ["NAIVE_TOKEN"].encode()).digest()


class Base(DeclarativeBase):
    pass


class PiiToken(Base):
    __tablename__ = "pii_token"

    token: Mapped[str] = mapped_column(String(64), primary_key=True)
    transformation: Mapped[str] = mapped_column(String(64))
    nonce: Mapped[bytes] = mapped_column(LargeBinary)
    ciphertext: Mapped[bytes] = mapped_column(LargeBinary)
    created: Mapped[datetime.datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class Secret(Base):
    __tablename__ = "secret"

    path: Mapped[str] = mapped_column(String(512), primary_key=True)
    version: Mapped[int] = mapped_column(default=1)
    nonce: Mapped[bytes] = mapped_column(LargeBinary)
    ciphertext: Mapped[bytes] = mapped_column(LargeBinary)


class AuditEntry(Base):
    __tablename__ = "audit_entry"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    time: Mapped[datetime.datetime] = mapped_column(DateTime(timezone=True), server_default=func.now(), index=True)
    account: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(32))
    resource: Mapped[str] = mapped_column(String(512))
    purpose: Mapped[str | None] = mapped_column(String(64))
    count: Mapped[int]


class Item(BaseModel):
    value: str


class Values(BaseModel):
    value: str | None = None
    batch_input: list[Item] | None = None

    def all(self) -> list[str]:
        if self.batch_input is not None:
            return [item.value for item in self.batch_input]
        if self.value is None:
            raise HTTPException(400, "value or batch_input is required")
        return [self.value]


class SecretData(BaseModel):
    data: dict[str, str]


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


async def session() -> AsyncIterator[AsyncSession]:
    async with sessions() as opened:
        yield opened


async def account(x_vault_token: Annotated[str, Header()]) -> str:
    if not secrets.compare_digest(hashlib.sha256(x_vault_token.encode()).digest(), caller):
        raise HTTPException(403, "permission denied")
    return "bench"


Session = Annotated[AsyncSession, Depends(session)]
Account = Annotated[str, Depends(account)]


@app.get("/v1/sys/health")
async def health() -> dict[str, Any]:
    return {"initialized": True, "sealed": False}


@app.post("/v1/transform/encode/{role}")
async def encode(role: str, body: Values, session: Session, account: Account) -> dict[str, Any]:
    rows = []
    for value in body.all():
        token, nonce = "tok_" + secrets.token_urlsafe(24), os.urandom(12)
        ciphertext = cipher.encrypt(nonce, value.encode(), token.encode())
        rows.append({"token": token, "transformation": role, "nonce": nonce, "ciphertext": ciphertext})
    await session.execute(insert(PiiToken), rows)
    session.add(AuditEntry(account=account, action="encode", resource=role, count=len(rows)))
    await session.commit()
    return answer(body, "encoded_value", [row["token"] for row in rows])


@app.post("/v1/transform/decode/{role}")
async def decode(
    role: str, body: Values, session: Session, account: Account, x_goldfin_purpose: Annotated[str | None, Header()] = None
) -> dict[str, Any]:
    tokens = body.all()
    found = await session.execute(
        select(PiiToken.token, PiiToken.nonce, PiiToken.ciphertext).where(PiiToken.token.in_(tokens), PiiToken.transformation == role)
    )
    rows = {row.token: row for row in found}
    if len(rows) < len(set(tokens)):
        raise HTTPException(400, "the token is not one of this transformation")
    session.add(AuditEntry(account=account, action="decode", resource=role, purpose=x_goldfin_purpose, count=len(tokens)))
    await session.commit()
    values = [cipher.decrypt(rows[token].nonce, rows[token].ciphertext, token.encode()).decode() for token in tokens]
    return answer(body, "decoded_value", values)


@app.get("/v1/secret/data/{path:path}")
async def read_secret(path: str, session: Session, account: Account) -> dict[str, Any]:
    secret = await session.get(Secret, path)
    if secret is None:
        raise HTTPException(404)
    session.add(AuditEntry(account=account, action="read_secret", resource=path, count=1))
    await session.commit()
    data = SecretData.model_validate_json(cipher.decrypt(secret.nonce, secret.ciphertext, path.encode()))
    return {"data": {"data": data.data, "metadata": {"version": secret.version}}}


@app.post("/v1/secret/data/{path:path}")
async def write_secret(path: str, body: SecretData, session: Session, account: Account) -> dict[str, Any]:
    nonce = os.urandom(12)
    ciphertext = cipher.encrypt(nonce, body.model_dump_json().encode(), path.encode())
    statement = upsert(Secret).values(path=path, version=1, nonce=nonce, ciphertext=ciphertext)
    changed = {"version": Secret.version + 1, "nonce": nonce, "ciphertext": ciphertext}
    statement = statement.on_conflict_do_update(index_elements=[Secret.path], set_=changed).returning(Secret.version)
    version = await session.scalar(statement)
    session.add(AuditEntry(account=account, action="write_secret", resource=path, count=1))
    await session.commit()
    return {"data": {"version": version}}


def answer(body: Values, member: str, values: list[str]) -> dict[str, Any]:
    if body.batch_input is None:
        return {"data": {member: values[0]}}
    return {"data": {"batch_results": [{member: value} for value in values]}}


async def make_tables() -> None:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(make_tables())
