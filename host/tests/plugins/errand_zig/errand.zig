//! Does the errand that is written in each document inserted into a collection `errands`, and logs the result:
//! `NUMBER ok WHAT` or `NUMBER error WHAT`, where the number is the document's `_id`. The same as the plugin errand, in Zig, and in batches.

const std = @import("std");
const gtm = @import("gtm");

comptime {
    gtm.plugin(@This());
}

pub const settings = [_]gtm.Setting{
    .{ .name = "database", .doc = "The database of the errands." },
    .{ .name = "key", .doc = "" },
    .{ .name = "pause", .setting_type = .duration, .default = "10s", .doc = "A time." },
    .{ .name = "size", .setting_type = .size, .default = "1 MiB", .doc = "A size." },
    .{ .name = "level", .setting_type = .choice, .choices = &.{ "low", "high" }, .former_names = &.{"grade"}, .doc = "A choice." },
    .{ .name = "token", .secret = true, .doc = "A secret." },
};

var own_database: gtm.Text = "";

pub fn init(subscriber: gtm.Subscriber) gtm.Outcome {
    if (is(gtm.config("key") orelse "", "refused")) return gtm.reject("key must not be refused, ü");
    own_database = gtm.config("database") orelse "";
    subscriber.subscribe("*.errands", &.{gtm.c.GTM_INSERT});
    return gtm.done();
}

pub fn filter(op: gtm.Op) bool {
    const errand = op.document() orelse return false;
    if (errand.boolean("in_filter") orelse false) {
        report(op, errand);
        return false;
    }
    return own_database.len == 0 or is(op.database(), own_database);
}

pub fn handleBatch(batch: gtm.Batch) void {
    for (batch.outcomes, 0..) |*outcome, at| {
        const op = batch.get(at);
        if (is(op.database(), "shop")) {
            gtm.log.info(op.toChangeEvent() orelse "nothing");
            gtm.log.info(op.toCanonicalChangeEvent() orelse "nothing");
            continue;
        }
        const errand = op.document() orelse {
            outcome.* = gtm.reject("the document cannot be decoded");
            continue;
        };
        const what = errand.text("do") orelse "";
        if (is(what, "reject")) {
            outcome.* = gtm.reject("rejected, ü");
        } else if (is(what, "later")) {
            outcome.* = gtm.retryAfter(7000, "later, ü");
        } else if (is(what, "error")) {
            outcome.* = failed(errand);
        } else if (is(what, "again")) {
            outcome.* = gtm.retry("again, ü");
        } else report(op, errand);
    }
}

pub fn timers(all: gtm.Timers) void {
    all.add("chime", if (is(gtm.config("level") orelse "", "high")) "1h" else "0 6 * * *", .each);
}

pub fn tick(due: gtm.Tick) gtm.Outcome {
    if (!is(due.timer, "chime")) return gtm.reject(gtm.join(&.{ "no timer ", due.timer }));
    const at = gtm.decimal(@intCast(due.at));
    gtm.log.info(gtm.join(&.{ due.timer, " ", at, " ", due.id, " ", gtm.decimal(due.attempt), " ", gtm.config("level") orelse "" }));
    return if (due.attempt == 2) gtm.retryAfter(1500, "later") else gtm.done();
}

/// An error of the contract, as the outcome that the SDK makes of it.
fn failed(errand: gtm.Document) gtm.Outcome {
    var problem: gtm.c.gtm_plugin_types_error_t = undefined;
    problem.tag = @intCast(errand.int64("kind") orelse 0);
    gtm.c.gtm_string_dup(&problem.val.invalid, "it fails");
    return gtm.c.gtm_outcome_of(&problem);
}

fn report(op: gtm.Op, errand: gtm.Document) void {
    var result: gtm.Text = "";
    const outcome = run(op, errand, &result);
    const number = gtm.decimal(errand.int64("_id") orelse 0);
    gtm.log.info(if (gtm.isDone(outcome)) gtm.join(&.{ number, " ok ", result }) else gtm.join(&.{ number, " error ", gtm.reason(outcome) }));
}

fn run(op: gtm.Op, errand: gtm.Document, result: *gtm.Text) gtm.Outcome {
    const what = errand.text("do") orelse "";
    const namespace = errand.text("ns") orelse "";
    const part = errand.nested("filter") orelse gtm.Document.empty;
    const document = errand.nested("document") orelse gtm.Document.empty;
    const key = errand.text("key") orelse "";
    const value = errand.text("value") orelse "";
    var found: []const gtm.Document = &.{};
    var written: gtm.mongodb.UpdateResult = .{};
    if (is(what, "http")) return send(op, errand, result);
    if (is(what, "find")) {
        const outcome = gtm.mongodb.find(namespace, part, .{ .sort = errand.nested("sort") }, &found);
        result.* = listed(found);
        return outcome;
    }
    if (is(what, "aggregate")) {
        var stages: [10]gtm.Document = undefined;
        var count: usize = 0;
        var at: usize = 0;
        const pipeline = errand.nested("pipeline") orelse gtm.Document.empty;
        while (pipeline.next(&at)) |stage| : (count += 1) stages[count] = gtm.Document.fromBytes(stage.value).?;
        const outcome = gtm.mongodb.aggregate(namespace, stages[0..count], &found);
        result.* = listed(found);
        return outcome;
    }
    if (is(what, "insert")) {
        result.* = "inserted";
        const outcome = gtm.mongodb.insert(namespace, &.{document});
        if (outcome.@"error" == gtm.c.GTM_CONFLICT) return gtm.reject(gtm.join(&.{ "conflict: ", gtm.reason(outcome) }));
        return outcome;
    }
    if (is(what, "update")) {
        const update = errand.nested("update") orelse gtm.Document.empty;
        const outcome = gtm.mongodb.update(namespace, part, update, .{ .many = false, .upsert = true }, &written);
        result.* = counts(written);
        return outcome;
    }
    if (is(what, "replace")) {
        const outcome = gtm.mongodb.replace(namespace, part, document, true, &written);
        result.* = counts(written);
        return outcome;
    }
    if (is(what, "delete")) {
        var deleted: u64 = 0;
        const outcome = gtm.mongodb.delete(namespace, part, true, &deleted);
        result.* = gtm.decimal(@intCast(deleted));
        return outcome;
    }
    if (is(what, "get")) {
        var kept: ?gtm.Text = null;
        const outcome = gtm.state.get(key, &kept);
        result.* = kept orelse "nothing";
        return outcome;
    }
    if (is(what, "set")) {
        result.* = "set";
        return gtm.state.set(key, value, 0);
    }
    if (is(what, "forget")) {
        result.* = "forgotten";
        return gtm.state.delete(key);
    }
    if (is(what, "swap")) {
        var swapped = false;
        const outcome = gtm.state.compareAndSwap(key, errand.text("expected"), value, 0, &swapped);
        result.* = if (swapped) "true" else "false";
        return outcome;
    }
    if (is(what, "add")) {
        var sum: i64 = 0;
        const outcome = gtm.state.increment(key, errand.int64("by") orelse 0, 60000, &sum);
        result.* = gtm.decimal(sum);
        return outcome;
    }
    if (is(what, "list")) {
        var entries: []const gtm.state.Entry = &.{};
        const outcome = gtm.state.list(key, null, 10, &entries);
        for (entries) |entry| {
            const ends = if (entry.time_to_live > 0) "+ " else " ";
            result.* = gtm.join(&.{ result.*, gtm.view(entry.key), "=", gtm.view(entry.value), ends });
        }
        return outcome;
    }
    if (is(what, "quota")) {
        var quota: gtm.state.Quota = undefined;
        const outcome = gtm.state.getQuota(&quota);
        if (gtm.isDone(outcome)) result.* = gtm.decimal(@intCast(quota.keys));
        return outcome;
    }
    if (is(what, "mail")) return gtm.mail(errand.text("to") orelse "", "an errand", "done");
    if (is(what, "count")) {
        gtm.metrics.count("errands", 1);
        gtm.metrics.gauge("level", 0.5);
        gtm.metrics.record("seconds", 0.01);
        result.* = "counted";
        return gtm.done();
    }
    if (is(what, "json")) {
        result.* = gtm.join(&.{ json(document), " ", document.json() orelse "nothing" });
        return gtm.done();
    }
    if (is(what, "config")) {
        // A string of BSON ends with a zero byte.
        result.* = gtm.config(key.ptr[0..key.len :0]) orelse "nothing";
        return gtm.done();
    }
    if (is(what, "encode")) {
        // Through JSON and back.
        const text = gtm.quote(errand.text("text") orelse "");
        const decoded = gtm.Document.fromJson(gtm.join(&.{ "{\"text\":", text, "}" })) orelse return gtm.reject("it is not valid JSON");
        result.* = decoded.text("text") orelse "";
        return gtm.done();
    }
    return gtm.reject(gtm.join(&.{ what, " is no errand" }));
}

fn send(op: gtm.Op, errand: gtm.Document, result: *gtm.Text) gtm.Outcome {
    var headers: [10]gtm.http.Header = undefined;
    headers[0] = gtm.http.idempotencyKey(op);
    var count: usize = 1;
    var at: usize = 0;
    if (errand.nested("headers")) |own| {
        while (own.next(&at)) |element| : (count += 1) {
            headers[count] = gtm.http.header(element.name, element.value[4 .. element.value.len - 1]);
        }
    }
    var response: gtm.http.Response = .{};
    const outcome = gtm.http.send(.{
        .method = if (is(errand.text("method") orelse "", "POST")) "POST" else "GET",
        .url = errand.text("url") orelse "",
        .headers = headers[0..count],
        .body = errand.text("body"),
        .timeout = @intCast(errand.int64("timeout") orelse 0),
    }, &response);
    result.* = gtm.join(&.{ gtm.decimal(response.status), " ", response.body });
    if (gtm.isDone(outcome) and is(errand.text("method") orelse "", "STATUS")) {
        const status = gtm.http.outcomeOf(response);
        if (gtm.isDone(status)) return status;
        const what = if (status.what == gtm.c.GTM_RETRY) "retry " else "reject ";
        return gtm.reject(gtm.join(&.{ what, gtm.decimal(@intCast(status.after)) }));
    }
    return outcome;
}

fn counts(written: gtm.mongodb.UpdateResult) gtm.Text {
    const matched = gtm.decimal(@intCast(written.matched_count));
    const modified = gtm.decimal(@intCast(written.modified_count));
    return gtm.join(&.{ matched, " ", modified, " ", if (written.upserted_id) |id| json(id) else "" });
}

fn listed(found: []const gtm.Document) gtm.Text {
    var list: gtm.Text = "";
    for (found, 0..) |document, at| list = gtm.join(&.{ list, if (at > 0) "," else "", json(document) });
    return gtm.join(&.{ gtm.decimal(@intCast(found.len)), " [", list, "]" });
}

fn json(document: gtm.Document) gtm.Text {
    return document.relaxedJson() orelse "nothing";
}

fn is(one: gtm.Text, other: gtm.Text) bool {
    return std.mem.eql(u8, one, other);
}
