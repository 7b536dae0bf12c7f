# What an application counts: ruby examples/ruby/numbers.rb target/dist/libioprofiler.so 127.0.0.1:8125
require_relative "ioprofiler"

Ioprofiler.load(ARGV.fetch(0, "libioprofiler.so.0"))
profiler = Ioprofiler::Profiler.new(
  config: { worker: "w1", statsd: { address: ARGV.fetch(1, "127.0.0.1:8125"), prefix: "shop" }, keep: {} },
  build_id: "8c1f",
)
3.times { profiler.count("registrations") }
profiler.count("registrations", 2, plan: "pro", country: "de;x=y")
profiler.gauge("queue.length", 17.5)
profiler.timing("mail.sent", 0.12)
sent = profiler.timing("mail.sent") { :sent }
profiler.event("cache emptied", who: "erika", why: "it was full")
profiler.deploy("8c1f", who: "erika", what: "new search")

status, headers, body = profiler.prometheus("text/plain")
puts "#{sent} #{status} #{headers["content-type"]}", body
names = profiler.series.flat_map { |series| series["samples"] }.map { |sample| sample["name"] }
puts "series: #{names.include?("queue.length")}", "kept: #{profiler.kept}"
puts "flushed: #{profiler.flush}", "closed: #{profiler.close}"
begin
  Ioprofiler::Profiler.new(config: { statsd: { adress: "x:1" } })
rescue ArgumentError => error
  puts error.message
end
