/**
 * A provider for OpenFeature's server SDK: `OpenFeature.setProvider(new IoprofilerProvider())`.
 *
 * A flag is asked for the running request's own user and visitor; with a `targetingKey`, for that user.
 * Boolean: whether it is on. String: its variant. Numbers and objects are a type mismatch.
 */
export declare class IoprofilerProvider {
  readonly metadata: { readonly name: string }
  readonly runsOn: 'server'
  resolveBooleanEvaluation(name: string, fallback: boolean, context?: any): Promise<any>
  resolveStringEvaluation(name: string, fallback: string, context?: any): Promise<any>
  resolveNumberEvaluation(name: string, fallback: number, context?: any): Promise<any>
  resolveObjectEvaluation(name: string, fallback: any, context?: any): Promise<any>
}
