// Sends a mail to each user who is inserted into a collection `users`.
#include "gtm_plugin.hpp"

static const gtm_setting SETTINGS[] = {
    {.name = "subject", .type = GTM_SETTING_TEXT, .doc = "The subject of the mail.", .default_value = "Welcome"},
    {},
};

// Text that init reads lasts as long as the instance.
static gtm::Text subject;

static gtm::Outcome init(gtm::Subscriber &) {
  subject = gtm::config("subject").value_or("Welcome");
  return gtm::done();
}

static bool is_new_user(const gtm::Op &op) { return op.is_insert() && op.collection() == "users"; }

static gtm::Outcome greet(const gtm::Op &op) {
  auto user = op.document();
  auto json = user ? user->json() : std::nullopt;
  if (!json) return gtm::reject("the document cannot be decoded");
  gtm::log::debug("document: " + std::string(*json));

  auto email = user->text("email");
  if (!email) return gtm::reject(user->mismatch("email", "a string"));
  std::string name(user->text("name").value_or("there"));

  auto sent = gtm::mail(*email, subject, "Hello " + name);
  if (sent) gtm::log::info("welcomed " + name);
  return sent;
}

GTM_LIFECYCLE(SETTINGS, init);
GTM_FILTER(is_new_user);
GTM_HANDLER(greet);
