# A request in Ruby, through the C ABI: ruby examples/ruby/hello.rb target/dist/libioprofiler.so
require "fiddle/import"

module Ioprofiler
  extend Fiddle::Importer
  dlload ARGV.fetch(0, "libioprofiler.so.0")
  # Structs grow at their ends: as much of them as is used here, as their sizes say.
  Options = struct ["size_t bytes", "int record", "int clock", "int threadless", "int max_spans"]
  Facts = struct ["size_t bytes", "int kind", "int asked", "char *verb", "size_t verb_length",
                  "char *path", "size_t path_length"]
  extern "int ioprof_profiler_new(void *, void *, char *, size_t)"
  extern "unsigned int ioprof_category(char *, size_t, unsigned int, unsigned int)"
  extern "unsigned long long ioprof_request_begin(unsigned long long, void *)"
  extern "void ioprof_request_note_integer(unsigned long long, char *, size_t, long long)"
  extern "void ioprof_request_finish(unsigned long long, short, unsigned long long, void *)"
  extern "unsigned long long ioprof_span_begin(unsigned long long, int, char *, size_t, unsigned long long, int)"
  extern "void ioprof_span_end(unsigned long long, unsigned int)"
  extern "size_t ioprof_profile_text(void *, char *, size_t)"
  extern "void ioprof_profile_free(void *)"

  def self.sized(struct) = struct.malloc(Fiddle::RUBY_FREE).tap { |made| made.to_ptr[0, struct.size] = "\0" * struct.size; made.bytes = struct.size }
  def self.out = Fiddle::Pointer.malloc(8, Fiddle::RUBY_FREE)
end

options = Ioprofiler.sized(Ioprofiler::Options)
options.threadless = 1 # no thread of its own: servers such as Puma and Unicorn fork
out, why = Ioprofiler.out, "\0" * 200
abort why unless Ioprofiler.ioprof_profiler_new(options, out, why, why.bytesize).zero?
profiler = out[0, 8].unpack1("Q")
shard = Ioprofiler.ioprof_category("dbshard01", 9, 0, 1) # a leaf, in MySQL's dialect

facts = Ioprofiler.sized(Ioprofiler::Facts)
facts.verb, facts.verb_length, facts.path, facts.path_length = verb = "GET", 3, path = "/listing/5773453", 16
request = Ioprofiler.ioprof_request_begin(profiler, facts)
Ioprofiler.ioprof_request_note_integer(request, "user_id", 7, 5020244)
sql = "SELECT count(*) FROM FavoriteListingUser WHERE listing_id = 5773453"
call = Ioprofiler.ioprof_span_begin(request, shard, sql, sql.bytesize, 0, 0)
Ioprofiler.ioprof_span_end(call, 0) # where the query is done
Ioprofiler.ioprof_request_finish(request, 200, 5120, out)
profile = Fiddle::Pointer.new(out[0, 8].unpack1("Q"))
text = "\0" * (Ioprofiler.ioprof_profile_text(profile, nil, 0) + 1)
Ioprofiler.ioprof_profile_text(profile, text, text.bytesize)
puts text.chomp("\0").force_encoding("UTF-8")
Ioprofiler.ioprof_profile_free(profile)
