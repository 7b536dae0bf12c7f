/**
 * Shows the client spans of OpenTelemetry's instrumentations as calls, for libraries without a hook:
 *
 *     new NodeTracerProvider({ spanProcessors: [new IoprofilerSpanProcessor()] })
 *
 * Turn the instrumentations of libraries off that are hooked anyway, or their calls are shown twice.
 * It sees the spans that the provider's sampler lets be recorded.
 */
export declare class IoprofilerSpanProcessor {
  onStart(span: any, context?: any): void
  onEnd(span: any): void
  forceFlush(): Promise<void>
  shutdown(): Promise<void>
}
