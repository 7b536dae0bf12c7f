/**
 * A span processor for OpenTelemetry's SDK: client spans of a running request are calls in its profile.
 * Spans of libraries that are hooked here are passed over, so that nothing stands there twice.
 *
 *     new NodeTracerProvider({
 *       sampler: recording(new TraceIdRatioBasedSampler(0.01)),
 *       spanProcessors: [new IoprofilerSpanProcessor(), …],
 *     })
 */
export declare class IoprofilerSpanProcessor {
  onStart(span: any, parentContext?: any): void
  onEnd(span: any): void
  forceFlush(): Promise<void>
  shutdown(): Promise<void>
}

/**
 * A sampler that records, inside requests, what the other one drops, so that the processor sees it;
 * exporters still get only what is sampled.
 */
export declare function recording<S extends { shouldSample(...args: any[]): any; toString(): string }>(sampler: S): S
