# What a Ruby application counts, says and keeps, through the C ABI:
#
#   require_relative "ioprofiler"
#   Ioprofiler.load("libioprofiler.so.0")
#   PROFILER = Ioprofiler::Profiler.new(config: { statsd: { address: "127.0.0.1:8125" } })
#   PROFILER.count("registrations", plan: "pro")
#   PROFILER.timing("mail.sent") { mail.deliver }
#
# Any thread may use it. Nothing here raises because of what is counted: what cannot be taken is counted
# as lost. Servers that fork (Puma, Unicorn) make it before they do; each child counts for itself, and
# with a `state_dir` in the configuration all are one.
require "fiddle/import"
require "json"

module Ioprofiler
  extend Fiddle::Importer

  # Loads the library; once, before anything else.
  def self.load(library)
    dlload library
    id = "unsigned long long"
    text = "char *, size_t"
    [
      "int ioprof_profiler_new(void *, void *, char *, size_t)",
      "int ioprof_profiler_flush(#{id}, unsigned int)",
      "int ioprof_profiler_free(#{id}, unsigned int)",
      "void ioprof_count(#{id}, #{text}, #{id})",
      "void ioprof_gauge(#{id}, #{text}, double)",
      "void ioprof_timing(#{id}, #{text}, #{id})",
      "size_t ioprof_metric_name(#{text}, void *, size_t, #{text})",
      "void ioprof_event(#{id}, #{text}, #{text}, #{text})",
      "void ioprof_deploy(#{id}, #{text}, #{text}, #{text})",
      "size_t ioprof_prometheus(#{id}, #{text}, void *, #{text})",
      "size_t ioprof_profiler_series(#{id}, #{text})",
      "size_t ioprof_profiler_kept_json(#{id}, unsigned int, #{text})",
    ].each { |function| extern function }
  end

  def self.numbers(type, names) = names.map { |name| "#{type} #{name}" }
  def self.texts(names) = names.flat_map { |name| ["char *#{name}", "size_t #{name}_length"] }

  # `ioprof_options`, as far as it is used here and further.
  Options = struct [
    "size_t bytes",
    *numbers("unsigned int", %w[record clock threadless max_spans max_detail_bytes max_live_requests]),
    *numbers("unsigned long long", %w[max_memory request_ttl_ms job_ttl_ms]),
    *texts(%w[build_id gate gate_parameter]),
    *numbers("size_t", %w[gate_secrets gate_secret_count gate_secret_files gate_secret_file_count log log_userdata]),
    *texts(%w[note_format access_log access_log_format access_log_time_zone access_log_server_name]),
    *numbers("unsigned int", %w[access_log_details note_max_bytes]),
    *numbers("size_t", %w[flag_files flag_file_count]),
    *texts(%w[state_dir]),
    *numbers("unsigned int", %w[flags_required keep_messages]),
    *texts(%w[name config_file config config_json]),
    *numbers("unsigned int", %w[metrics reserved]),
  ]
  # `ioprof_exposition`.
  About = struct ["size_t bytes", "unsigned int status", "unsigned int content_type_length", "char content_type[128]"]

  # A struct of zeros that knows its size.
  def self.sized(type)
    type.malloc(Fiddle::RUBY_FREE).tap do |made|
      made.to_ptr[0, type.size] = "\0" * type.size
      made.bytes = type.size
    end
  end

  # What a function writes into a buffer, which it is told the size of.
  def self.written(room = 65_536)
    loop do
      buffer = "\0".b * room
      needed = yield buffer, room
      return buffer.byteslice(0, needed).force_encoding(Encoding::UTF_8) if needed < room

      room = needed + 1
    end
  end

  # The profiler of a process: it counts, and sends what it counted.
  class Profiler
    # `config` is a hash shaped as the configuration file, which `config_file` names; `metrics`: it is
    # counted though nobody is sent anything; `threadless`: nothing is sent but by `flush`. What is wrong
    # raises an ArgumentError that names the key and what is allowed.
    def initialize(config: nil, config_file: nil, metrics: false, threadless: false, build_id: nil)
      options = Ioprofiler.sized(Options)
      config &&= JSON.generate(config)
      { build_id: build_id, config_file: config_file, config_json: config }.each do |name, text|
        next if text.nil?

        options[name.to_s] = text
        options["#{name}_length"] = text.bytesize
      end
      options.metrics = metrics ? 1 : 0
      options.threadless = threadless ? 1 : 0
      out = Fiddle::Pointer.malloc(8, Fiddle::RUBY_FREE)
      why = "\0".b * 4_096
      status = Ioprofiler.ioprof_profiler_new(options, out, why, why.bytesize)
      raise ArgumentError, why.unpack1("Z*").force_encoding(Encoding::UTF_8) unless status.zero?

      @handle = out[0, 8].unpack1("Q")
    end

    # Adds to a counter: `count("registrations", plan: "pro")`.
    def count(name, by = 1, **labels)
      name = named(name, labels)
      Ioprofiler.ioprof_count(@handle, name, name.bytesize, by) if by >= 0
    end

    # Sets a gauge: `gauge("queue.length", 17)`.
    def gauge(name, value, **labels)
      name = named(name, labels)
      Ioprofiler.ioprof_gauge(@handle, name, name.bytesize, value.to_f)
    end

    # Counts a duration, in seconds; or that of a block, whose value it gives.
    def timing(name, seconds = nil, **labels)
      if seconds.nil?
        begun = Process.clock_gettime(Process::CLOCK_MONOTONIC)
        begin
          return yield
        ensure
          timing(name, Process.clock_gettime(Process::CLOCK_MONOTONIC) - begun, **labels)
        end
      end
      name = named(name, labels)
      nanoseconds = (seconds * 1e9).round
      Ioprofiler.ioprof_timing(@handle, name, name.bytesize, nanoseconds) if nanoseconds >= 0
    end

    # Says that something was done to the site, to every sink that takes events.
    def event(what, who: "", why: "") = tell(:ioprof_event, what, who, why)

    # A version of the application went live. Told twice it is one event.
    def deploy(version, who: "", what: "") = tell(:ioprof_deploy, version, who, what)

    # What a scrape is answered with, for Rack: status, headers, body. `accept` is the request's header.
    def prometheus(accept = "")
      about = Ioprofiler.sized(About)
      body = Ioprofiler.written do |buffer, room|
        Ioprofiler.ioprof_prometheus(@handle, accept, accept.bytesize, about, buffer, room)
      end
      type = about.content_type.first(about.content_type_length).pack("c*")
      [about.status, { "content-type" => type }, [body]]
    end

    # Everything counted so far, as plain data; durations in nanoseconds.
    def series = plain { |buffer, room| Ioprofiler.ioprof_profiler_series(@handle, buffer, room) }

    # The kept requests of this process: profiles as plain data, each with `"kept"`, which says why.
    def kept = plain { |buffer, room| Ioprofiler.ioprof_profiler_kept_json(@handle, 1, buffer, room) }

    # Waits until all that was counted is sent; whether it was, within so many seconds.
    def flush(within = 1.0) = Ioprofiler.ioprof_profiler_flush(@handle, (within * 1_000).to_i).zero?

    # The same, and the end.
    def close(within = 1.0) = Ioprofiler.ioprof_profiler_free(@handle, (within * 1_000).to_i).zero?

    private

    def named(name, labels)
      return name if labels.empty?

      texts = labels.flatten.map(&:to_s)
      packed = texts.flat_map { |text| [Fiddle::Pointer[text].to_i, text.bytesize] }.pack("Q*")
      Ioprofiler.written(256) do |buffer, room|
        Ioprofiler.ioprof_metric_name(name, name.bytesize, packed, labels.size, buffer, room)
      end
    end

    def tell(function, *texts)
      Ioprofiler.public_send(function, @handle, *texts.flat_map { |text| [text, text.bytesize] })
    end

    def plain(&) = JSON.parse(Ioprofiler.written(&))
  end
end
