// Sends a mail to each user who is inserted into a collection `users`.
#include "gtm_plugin.h"

bool filter(const gtm_op *op) {
  return gtm_is_insert(op) && gtm_equal(op->collection, "users");
}

gtm_outcome handle(const gtm_op *op) {
  gtm_document user;
  if (!gtm_full_document(op, &user)) return gtm_reject(gtm_text_of("the document cannot be decoded"));
  gtm_text json;
  if (!gtm_to_json(user, &json)) return gtm_reject(json);
  gtm_log_debug(gtm_join(2, (gtm_text[]){gtm_text_of("document: "), json}));

  gtm_text email, name, subject;
  if (!gtm_get_text(user, "email", &email)) return gtm_reject(gtm_mismatch(user, "email", "a string"));
  if (!gtm_get_text(user, "name", &name)) name = gtm_text_of("there");
  if (!gtm_config("subject", &subject)) subject = gtm_text_of("Welcome");

  gtm_outcome sent = gtm_mail(email, subject, gtm_join(2, (gtm_text[]){gtm_text_of("Hello "), name}));
  if (sent.what == GTM_DONE) gtm_log_info(gtm_join(2, (gtm_text[]){gtm_text_of("welcomed "), name}));
  return sent;
}
