// An application whose queries are traced by OpenTelemetry, sampled out; prints what a request recorded.

const { InMemorySpanExporter, SimpleSpanProcessor, AlwaysOffSampler } = require('@opentelemetry/sdk-trace-base')
const { NodeTracerProvider } = require('@opentelemetry/sdk-trace-node')
const { PgInstrumentation } = require('@opentelemetry/instrumentation-pg')
const { Profiler } = require('ioprofiler')
const { IoprofilerSpanProcessor, recording } = require('ioprofiler/otel')

const [options, instrument] = process.argv.slice(2).map((text) => JSON.parse(text))
const exporter = new InMemorySpanExporter()
const provider = new NodeTracerProvider({
  sampler: recording(new AlwaysOffSampler()),
  spanProcessors: [new IoprofilerSpanProcessor(), new SimpleSpanProcessor(exporter)],
})
provider.register()
new PgInstrumentation().setTracerProvider(provider)
const profiler = new Profiler({ instrument })
const pg = require('pg')

async function main() {
  const client = new pg.Client(options)
  await client.connect()
  const request = profiler.begin({ path: '/' })
  await request.run(async () => {
    await client.query('SELECT 1')
    await client.query('SELECT nonsense').catch(() => {})
  })
  const { calls } = request.finish().data
  await client.end()
  console.log(JSON.stringify({
    calls: calls.map(({ category, detail, outcome }) => `${category} ${detail} ${outcome}`),
    target: calls[0].target,
    exported: exporter.getFinishedSpans().length,
  }))
}

main()
