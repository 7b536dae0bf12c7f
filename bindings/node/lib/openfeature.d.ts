/**
 * A provider for OpenFeature's server SDK: `OpenFeature.setProvider(new IoprofilerProvider())`.
 *
 * A flag is decided for the running request, and is in its profile and log. With a `targetingKey`, or
 * attributes, it is decided about that user: `visitor` and `groups` are what they say, all else is an
 * attribute. A boolean is whether it is on, a string its variant; numbers and objects are the data that
 * the file gives its variant.
 */
export declare class IoprofilerProvider {
  readonly metadata: { readonly name: string }
  readonly runsOn: 'server'
  resolveBooleanEvaluation(name: string, fallback: boolean, context?: any): Promise<any>
  resolveStringEvaluation(name: string, fallback: string, context?: any): Promise<any>
  resolveNumberEvaluation(name: string, fallback: number, context?: any): Promise<any>
  resolveObjectEvaluation(name: string, fallback: any, context?: any): Promise<any>
}
