// Sends a mail to each user who is inserted into a collection `users`.
#include "gtm_plugin.hpp"

bool gtm::filter(const Op &op) { return op.is_insert() && op.collection() == "users"; }

gtm::Outcome gtm::handle(const Op &op) {
  auto user = op.document();
  auto json = user ? user->json() : std::nullopt;
  if (!json) return reject("the document cannot be decoded");
  log::debug("document: " + std::string(*json));

  auto email = user->text("email");
  if (!email) return reject(user->mismatch("email", "a string"));
  std::string name(user->text("name").value_or("there"));
  auto subject = config("subject").value_or("Welcome");

  auto sent = mail(*email, subject, "Hello " + name);
  if (sent) log::info("welcomed " + name);
  return sent;
}
