# The server as an image. Keys and addresses come from the environment: see README.md, "Settings".
FROM python:3.13-slim

RUN pip install --no-cache-dir uv
WORKDIR /srv/chatsite
ENV PATH=/srv/chatsite/.venv/bin:$PATH PYTHONUNBUFFERED=1 UV_PYTHON_DOWNLOADS=never

COPY pyproject.toml uv.lock ./
RUN uv sync --locked --no-dev --no-cache --compile-bytecode

COPY manage.py ./
COPY chatsite chatsite
COPY tokens tokens
COPY chat chat
COPY static static
COPY templates templates
RUN python manage.py collectstatic --no-input && useradd --system --no-create-home chatsite

USER chatsite
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --start-period=10s CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["python", "manage.py", "serve", "--host", "0.0.0.0", "--migrate"]
