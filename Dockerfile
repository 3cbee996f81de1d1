# The server without its tools: at run time it needs dist/, the playground and node.

FROM node:26-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/build.mjs scripts/builtins-by-require.mjs scripts/embedded.mjs scripts/
COPY assets assets
COPY src src
# Declarations are for programs that import the package.
RUN npm run build && find dist -name '*.d.ts' -delete

FROM node:26-slim
WORKDIR /app
ENV NODE_ENV=production
COPY package.json ./
COPY assets/playground assets/playground
COPY --from=build /app/dist dist
# Files stay root's: the process reads them and writes nothing, so `--read-only` works.
USER node
EXPOSE 8000
# The image has neither curl nor wget. A server that is given --port instead of PORT needs --health-cmd.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.PORT || 8000) + '/health').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# Exec form: node itself is process 1 and gets the signals. The server's flags can follow the
# image's name. Those for node are the ones of `npm start`: docs/deploy.md says what they do.
ENTRYPOINT ["node", "--no-allocation-site-pretenuring", "--max-semi-space-size=4", "dist/server.js"]
