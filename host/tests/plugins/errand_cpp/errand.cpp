// Does the errand that is written in each document inserted into a collection `errands`, and logs the result:
// `NUMBER ok WHAT` or `NUMBER error WHAT`, where the number is the document's `_id`. The same as the plugin errand, in C++, and in batches.
#include "gtm_plugin.hpp"

using gtm::Document;
using gtm::Outcome;
using gtm::Text;

static const char *const LEVELS[] = {"low", "high", nullptr};
static const char *const FORMER_LEVEL[] = {"grade", nullptr};
static const gtm_setting SETTINGS[] = {
    {.name = "database", .doc = "The database of the errands."},
    {.name = "key", .type = GTM_SETTING_TEXT},
    {.name = "pause", .type = GTM_SETTING_DURATION, .doc = "A time.", .default_value = "10s"},
    {.name = "size", .type = GTM_SETTING_SIZE, .doc = "A size.", .default_value = "1 MiB"},
    {.name = "level", .type = GTM_SETTING_CHOICE, .doc = "A choice.", .choices = LEVELS, .former_names = FORMER_LEVEL},
    {.name = "token", .doc = "A secret.", .secret = true},
    {},
};

static std::string database;

static std::string json_of(Document document) { return std::string(document.relaxed_json().value_or("nothing")); }

static std::string list_of(const std::vector<Document> &found) {
  std::string list;
  for (Document document : found) list += (list.empty() ? "" : ",") + json_of(document);
  return std::to_string(found.size()) + " [" + list + "]";
}

static Outcome send(const gtm::Op &op, Document errand, std::string &result) {
  gtm::http::Request request;
  request.method = errand.text("method") == "POST" ? "POST" : "GET";
  request.url = errand.text("url").value_or("");
  request.body = errand.text("body");
  request.timeout = static_cast<uint32_t>(errand.int64("timeout").value_or(0));
  request.headers.push_back(gtm::http::idempotency_key(op));
  if (auto headers = errand.nested("headers"))
    headers->for_each([&](const gtm_element &element) {
      Text value(reinterpret_cast<const char *>(element.value) + 4, element.length - 5);
      request.headers.push_back({gtm::view(element.name), value});
    });
  gtm::http::Response response;
  auto outcome = gtm::http::send(request, response);
  result = std::to_string(response.status) + " " + std::string(response.body);
  if (outcome && errand.text("method") == "STATUS") {
    gtm_outcome status = gtm::http::outcome_of(response);
    if (status.what != GTM_DONE) return gtm::reject((status.what == GTM_RETRY ? "retry " : "reject ") + std::to_string(status.after));
  }
  return outcome;
}

static std::string written(const gtm::mongodb::UpdateResult &result) {
  auto id = result.upserted_id ? json_of(*result.upserted_id) : "";
  return std::to_string(result.matched_count) + " " + std::to_string(result.modified_count) + " " + id;
}

static Outcome run(const gtm::Op &op, Document errand, std::string &result) {
  auto what = errand.text("do").value_or("");
  auto text = [&](const char *name) { return errand.text(name).value_or(""); };
  auto part = [&](const char *name) { return errand.nested(name).value_or(Document::empty()); };
  gtm::mongodb::Collection own(text("ns"));
  std::vector<Document> found;
  gtm::mongodb::UpdateResult updated;
  if (what == "http") return send(op, errand, result);
  if (what == "find") {
    auto outcome = own.find(part("filter"), found, {.sort = errand.nested("sort")});
    result = list_of(found);
    return outcome;
  }
  if (what == "aggregate") {
    std::vector<Document> stages;
    part("pipeline").for_each([&](const gtm_element &stage) { stages.push_back(*Document::from_bytes(stage.value, stage.length)); });
    auto outcome = own.aggregate(stages, found);
    result = list_of(found);
    return outcome;
  }
  if (what == "insert") {
    result = "inserted";
    auto outcome = own.insert({part("document")});
    return outcome.error() == GTM_CONFLICT ? gtm::reject("conflict: " + std::string(outcome.why())) : outcome;
  }
  if (what == "update") {
    auto outcome = own.update(part("filter"), part("update"), {.many = false, .upsert = true}, &updated);
    result = written(updated);
    return outcome;
  }
  if (what == "replace") {
    auto outcome = own.replace(part("filter"), part("document"), true, &updated);
    result = written(updated);
    return outcome;
  }
  if (what == "delete") {
    uint64_t count = 0;
    auto outcome = own.remove(part("filter"), true, &count);
    result = std::to_string(count);
    return outcome;
  }
  if (what == "get") {
    std::optional<Text> value;
    auto outcome = gtm::state::get(text("key"), value);
    result = value.value_or("nothing");
    return outcome;
  }
  if (what == "set") {
    result = "set";
    return gtm::state::set(text("key"), text("value"));
  }
  if (what == "forget") {
    result = "forgotten";
    return gtm::state::remove(text("key"));
  }
  if (what == "swap") {
    bool swapped = false;
    auto outcome = gtm::state::compare_and_swap(text("key"), errand.text("expected"), text("value"), swapped);
    result = swapped ? "true" : "false";
    return outcome;
  }
  if (what == "add") {
    int64_t sum = 0;
    auto outcome = gtm::state::increment(text("key"), errand.int64("by").value_or(0), sum, 60000);
    result = std::to_string(sum);
    return outcome;
  }
  if (what == "list") {
    std::vector<gtm::state::Entry> entries;
    auto outcome = gtm::state::list(text("key"), std::nullopt, 10, entries);
    for (const auto &entry : entries)
      result += std::string(entry.key) + "=" + std::string(entry.value) + (entry.time_to_live > 0 ? "+ " : " ");
    return outcome;
  }
  if (what == "quota") {
    gtm_state_quota quota = {};
    auto outcome = gtm::state::get_quota(quota);
    result = std::to_string(quota.keys);
    return outcome;
  }
  if (what == "mail") return gtm::mail(text("to"), "an errand", "done");
  if (what == "count") {
    gtm_count("errands", 1);
    result = "counted";
    return gtm::done();
  }
  if (what == "json") {
    result = json_of(part("document")) + " " + std::string(part("document").json().value_or("nothing"));
    return gtm::done();
  }
  if (what == "config") {
    result = gtm::config(std::string(text("key")).c_str()).value_or("nothing");
    return gtm::done();
  }
  if (what == "encode") {
    // Through JSON and back.
    auto document = Document::from_json("{\"text\":" + std::string(gtm::quote(text("text"))) + "}");
    if (!document) return gtm::reject("it is not valid JSON");
    result = document->text("text").value_or("");
    return gtm::done();
  }
  return gtm::reject(std::string(what) + " is no errand");
}

static void report(const gtm::Op &op, Document errand) {
  std::string result;
  auto outcome = run(op, errand, result);
  auto number = std::to_string(errand.int64("_id").value_or(0));
  gtm::log::info(number + (outcome ? " ok " + result : " error " + std::string(outcome.why())));
}

// An error of the contract, as the outcome that the SDK makes of it.
static Outcome failed(Document errand) {
  gtm_plugin_types_error_t error = {};
  error.tag = static_cast<uint8_t>(errand.int64("kind").value_or(0));
  gtm_string_dup(&error.val.invalid, "it fails");
  return gtm_outcome_of(&error);
}

static Outcome init(gtm::Subscriber &subscriber) {
  if (gtm::config("key") == "refused") return gtm::reject("key must not be refused, ü");
  database = gtm::config("database").value_or("");
  subscriber.subscribe("*.errands", {GTM_INSERT});
  return gtm::done();
}

static bool is_own(const gtm::Op &op) {
  auto errand = op.document();
  if (!errand) return false;
  if (errand->boolean("in_filter").value_or(false)) {
    report(op, *errand);
    return false;
  }
  return database.empty() || op.database() == database;
}

static void run_all(gtm::Batch &batch) {
  for (size_t at = 0; at < batch.size(); at++) {
    if (batch[at].database() == "shop") {
      for (bool canonical : {false, true}) gtm::log::info(batch[at].to_change_event(canonical).value_or("nothing"));
      continue;
    }
    auto errand = batch[at].document();
    auto what = errand ? errand->text("do") : std::nullopt;
    if (!errand) batch.set(at, gtm::reject("the document cannot be decoded"));
    else if (what == "reject") batch.set(at, gtm::reject("rejected, ü"));
    else if (what == "later") batch.set(at, gtm::retry_after(7000, "later, ü"));
    else if (what == "error") batch.set(at, failed(*errand));
    else if (what == "again") batch.set(at, gtm::retry("again, ü"));
    else report(batch[at], *errand);
  }
}

static void timers(gtm::Timers &all) {
  all.add("chime", gtm::config("level").value_or("") == "high" ? "1h" : "0 6 * * *", GTM_EACH_MISSED);
}

static gtm::Outcome tick(const gtm::Tick &due) {
  if (due.timer != "chime") return gtm::reject("no timer " + std::string(due.timer));
  std::string line = std::string(due.timer) + " " + std::to_string(due.at) + " " + std::string(due.id) + " " +
                     std::to_string(due.attempt) + " " + std::string(gtm::config("level").value_or(""));
  gtm::log::info(line);
  return due.attempt == 2 ? gtm::retry_after(1500, "later") : gtm::done();
}

GTM_LIFECYCLE(SETTINGS, init);
GTM_FILTER(is_own);
GTM_BATCH_HANDLER(run_all);
GTM_SCHEDULE(timers, tick);
