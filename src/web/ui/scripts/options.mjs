// What the build and the tests have in common: how TypeScript becomes JavaScript.

/** Oldest browsers served: those of the year 2021. */
export const options = {
  bundle: true,
  jsx: "automatic",
  jsxImportSource: "preact",
  target: ["es2020", "chrome88", "firefox78", "safari14.1"],
  logLevel: "warning",
  logLimit: 5,
};
