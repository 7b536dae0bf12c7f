// A bare name that cannot be found where it is asked for is looked for in the tests' own packages.

const HERE = new URL('../package.json', import.meta.url).href

export async function resolve(specifier, context, next) {
  try {
    return await next(specifier, context)
  } catch (error) {
    if (error.code !== 'ERR_MODULE_NOT_FOUND' || /^[./]/.test(specifier)) throw error
    return next(specifier, { ...context, parentURL: HERE })
  }
}
