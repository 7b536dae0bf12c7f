// Where the runtime has `using` declarations; others cannot even read this file.

const { Profiler, record, scope, span } = require('ioprofiler')

new Profiler({ instrument: false })

async function main() {
  const { profile } = await record(async () => {
    {
      using page = scope('template', 'page.html')
      page.run(() => {
        using query = span('db', 'SELECT 1')
        query.rows(1)
      })
    }
    try {
      using failing = span('db', 'SELECT 2')
      failing.error()
      throw new Error('after it began')
    } catch {}
    {
      using none = null
      await using async = { [Symbol.asyncDispose]: async () => {} }
    }
  })
  console.log(JSON.stringify(profile.data.calls.map(({ detail, outcome, parent }) => [detail, outcome, parent ?? null])))
}

main()
