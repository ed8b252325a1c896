# The quickstart in a container:
#
#     docker build -t tokenlaw .
#     docker run --rm -v "$PWD/out:/out" tokenlaw            # writes out/quickstart.nc, .png, .html
#     docker run --rm tokenlaw tokenlaw predict --preset gpt2
FROM python:3.12-slim
WORKDIR /src
COPY . .
RUN pip install --no-cache-dir --disable-pip-version-check .
WORKDIR /out
CMD ["sh", "-c", "tokenlaw config --example quickstart > quickstart.toml && tokenlaw compare quickstart.toml --out quickstart.nc && tokenlaw plot quickstart.nc --out quickstart.png && tokenlaw report quickstart.nc --out quickstart.html"]
