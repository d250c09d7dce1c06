// What libraries expect of a platform and QuickJS does not have. It comes before the plugin.

import "./text.js";
import "./promise.js";
import "./timers.js";
import "./crypto.js";
import "./console.js";
import "./structured-clone.js";
