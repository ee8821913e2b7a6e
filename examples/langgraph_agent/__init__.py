"""An agent with a tool, with LangGraph."""
