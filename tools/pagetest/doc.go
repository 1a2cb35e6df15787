// Package pagetest drives the server's page in a real browser, as a person does. It is a module of its own: the program and its
// packages know nothing of browsers. Its test needs Chromium; axe-core is used where PAGETEST_AXE names its script.
package pagetest
