//! Sends a mail to each user who is inserted into a collection `users`.

const std = @import("std");
const gtm = @import("gtm");

comptime {
    gtm.plugin(@This());
}

pub const settings = [_]gtm.Setting{
    .{ .name = "subject", .default = "Welcome", .doc = "The subject of the mail." },
};

/// Text that init reads lasts as long as the instance.
var subject: gtm.Text = "";

pub fn init(_: gtm.Subscriber) gtm.Outcome {
    subject = gtm.config("subject") orelse "Welcome";
    return gtm.done();
}

pub fn filter(op: gtm.Op) bool {
    return op.isInsert() and std.mem.eql(u8, op.collection(), "users");
}

pub fn handle(op: gtm.Op) gtm.Outcome {
    const user = op.document() orelse return gtm.reject("the document cannot be decoded");
    const json = user.json() orelse return gtm.reject("the document cannot be decoded");
    gtm.log.debug(gtm.join(&.{ "document: ", json }));

    const email = user.text("email") orelse return gtm.reject(user.mismatch("email", "a string"));
    const name = user.text("name") orelse "there";

    const sent = gtm.mail(email, subject, gtm.join(&.{ "Hello ", name }));
    if (gtm.isDone(sent)) gtm.log.info(gtm.join(&.{ "welcomed ", name }));
    return sent;
}
