# The server as an image. Keys and addresses come from the environment: see README.md, "Settings".
# The bases are pinned by version. To pin one by digest, too, write what
# `docker buildx imagetools inspect python:3.13.9-slim-trixie` says behind it: @sha256:…
FROM python:3.13.9-slim-trixie

RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /srv/chatsite
ENV PATH=/srv/chatsite/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 UV_PYTHON_DOWNLOADS=never

COPY pyproject.toml uv.lock ./
RUN uv sync --locked --no-dev --no-cache --compile-bytecode

COPY manage.py ./
COPY chatsite chatsite
COPY tokens tokens
COPY chat chat
COPY static static
COPY templates templates
RUN python manage.py collectstatic --no-input \
    && useradd --system --no-create-home --uid 10001 chatsite

# By number: who must not run it as root can tell that it is not. It writes to /tmp alone.
USER 10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --start-period=10s CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["python", "manage.py", "serve", "--host", "0.0.0.0", "--migrate"]
