"""The team's own tools: the backlog's pages and Jira files, and publishing to Jira and Confluence. Not shipped."""
