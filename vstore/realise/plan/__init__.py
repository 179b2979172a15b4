"""The plan: a graph of nodes, each the recipe of an object; as values and as documents."""
