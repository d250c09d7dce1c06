// There are no timers: nothing happens in a plugin but while the host calls it. A library that asks for one is told so.

function missing(name) {
  return () => {
    throw new Error(`there is no ${name} in a plugin: it runs only while the host calls it. To wait, throw a Retry`);
  };
}

for (const name of ["setTimeout", "setInterval", "setImmediate"]) globalThis[name] ??= missing(name);
for (const name of ["clearTimeout", "clearInterval", "clearImmediate"]) globalThis[name] ??= () => {};
