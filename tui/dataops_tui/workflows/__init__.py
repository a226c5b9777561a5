"""Actions that span several screens: ask, confirm, act, report. One module each; none imports the app."""
