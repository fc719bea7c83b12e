// The version that the user agent names. It must say what package.json says; a test compares them.
export const VERSION = "0.1.0";
