#include "gtm_plugin.hpp"

extern "C" bool filter(const gtm_op *op) { return gtm::filter(gtm::Op(*op)); }

extern "C" gtm_outcome handle(const gtm_op *op) { return gtm::handle(gtm::Op(*op)); }
