"""Parameters of the flow actions. A module is imported when a playbook names one of its actions, because each class costs milliseconds."""
