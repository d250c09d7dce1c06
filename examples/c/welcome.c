// Sends a mail to each user who is inserted into a collection `users`.
#include "gtm_plugin.h"

static const gtm_setting SETTINGS[] = {
  {.name = "subject", .type = GTM_SETTING_TEXT, .default_value = "Welcome", .doc = "The subject of the mail."},
  {0},
};

// Text that init reads lasts as long as the instance.
static gtm_text subject;

static gtm_outcome init(gtm_subscriber *subscriber) {
  (void)subscriber;
  gtm_config("subject", &subject);
  return gtm_done();
}

static bool is_new_user(const gtm_op *op) {
  return gtm_is_insert(op) && gtm_equal(op->collection, "users");
}

static gtm_outcome greet(const gtm_op *op) {
  gtm_document user;
  if (!gtm_full_document(op, &user)) return gtm_reject(gtm_text_of("the document cannot be decoded"));
  gtm_text json;
  if (!gtm_to_json(user, &json)) return gtm_reject(json);
  gtm_log_debug(gtm_join(2, (gtm_text[]){gtm_text_of("document: "), json}));

  gtm_text email, name;
  if (!gtm_get_text(user, "email", &email)) return gtm_reject(gtm_mismatch(user, "email", "a string"));
  if (!gtm_get_text(user, "name", &name)) name = gtm_text_of("there");

  gtm_outcome sent = gtm_mail(email, subject, gtm_join(2, (gtm_text[]){gtm_text_of("Hello "), name}));
  if (sent.what == GTM_DONE) gtm_log_info(gtm_join(2, (gtm_text[]){gtm_text_of("welcomed "), name}));
  return sent;
}

GTM_LIFECYCLE(SETTINGS, init);
GTM_FILTER(is_new_user);
GTM_HANDLER(greet);
